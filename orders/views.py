from django.http import HttpResponse
def plans(request, pk=0): return HttpResponse('stub')
def orders(request, pk=0): return HttpResponse('stub')
def new(request, pk=0): return HttpResponse('stub')
def order(request, pk=0): return HttpResponse('stub')
def pay(request, pk=0): return HttpResponse('stub')
def cancel(request, pk=0): return HttpResponse('stub')
